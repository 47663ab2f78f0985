# One image for the API and the workers, on CPU and CUDA. TORCH_INDEX may name an index of PyTorch's builds for one of
# them alone, which makes the image smaller.
FROM python:3.11-slim
ARG TORCH_INDEX=
RUN useradd --create-home --uid 10001 bregnas && install -d -o bregnas /data
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch==2.13.0
COPY . .
RUN pip install --no-cache-dir --constraint constraints.txt '.[worker,demo]'
USER bregnas
WORKDIR /data
ENV BREGNAS_HOME=/data HOST=0.0.0.0 PORT=8000
EXPOSE 8000
CMD ["bregnas", "api"]
