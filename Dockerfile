# One image for the API and the workers. CUDA: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130
FROM python:3.11-slim
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN useradd --create-home --uid 10001 bregnas && install -d -o bregnas /data
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" --extra-index-url https://pypi.org/simple torch==2.13.0
COPY . .
RUN pip install --no-cache-dir --constraint constraints.txt '.[worker,demo]'
USER bregnas
WORKDIR /data
ENV BREGNAS_HOME=/data HOST=0.0.0.0 PORT=8000
EXPOSE 8000
CMD ["bregnas", "api"]
