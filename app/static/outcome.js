// What came out: the candidates side by side, and the files of the one that won.
import { Element, copyable, html, nothing } from './element.js';
import { bytes, count, loss } from './format.js';

const METRICS = { psnr: 'PSNR, dB', dice: 'Dice', iou: 'IoU' };

class Outcome extends Element {
  static properties = { search: { attribute: false }, artifacts: { attribute: false } };

  render() {
    const { result, id } = this.search;
    const metric = Object.keys(result.candidates?.[0]?.validation ?? {}).find((name) => name !== 'loss');
    const said = !result.second ? '' : result.tie ? ` It is a tie with ${result.second}.`
      : ` ${result.second} is behind by ${(100 * result.margin).toFixed(1)} %.`;
    return html`<div class="title"><h2>Result</h2></div>
      <p><strong>${result.winner}</strong> has the lowest validation loss and is what you download.${said}</p>
      <div class="scroll" tabindex="0" role="region" aria-label="Candidates"><table><thead><tr>
        <th scope="col">Network</th>${['Parameters', 'MACs', 'Validation', 'Test', ...(metric ? [`Test ${METRICS[metric] ?? metric}`] : []), 'Latency'].map((name) => html`<th scope="col" class="number">${name}</th>`)}
        <th scope="col">Widths</th><th scope="col"><span class="unseen">Download</span></th></tr></thead>
        <tbody>${(result.candidates ?? []).map((one) => html`<tr class=${one.name === result.winner ? 'won' : ''}>
          <th scope="row">${one.name}</th><td class="number">${count(one.parameters)}</td><td class="number">${count(one.macs)}</td>
          <td class="number">${loss(one.validation?.loss)}</td><td class="number">${loss(one.test?.loss)}</td>
          ${metric ? html`<td class="number">${loss((one.test ?? one.validation)?.[metric])}</td>` : nothing}
          <td class="number">${one.latency_ms == null ? '–' : `${loss(one.latency_ms)} ms`}</td><td class="small">${one.widths?.join(', ')}</td>
          <td><a href="/v1/searches/${id}/model?candidate=${one.name}" download aria-label="zip of ${one.name}">zip</a></td></tr>`)}</tbody></table></div>
      <p class="actions"><a class="button main" href="/v1/searches/${id}/model" download>Download ${result.winner} (zip)</a></p>
      ${this.#run()}
      <details><summary>All files</summary><ul class="small">${this.artifacts.filter((one) => !/^path-|^candidate-/.test(one.name)).map((one) => html`<li>
        <a href=${one.url} download>${one.name}</a> <span class="quiet">${bytes(one.size)}</span></li>`)}</ul></details>`;
  }

  #run() {
    const zip = this.artifacts.find((one) => one.name.endsWith('.zip') && !one.name.startsWith('candidate-'));
    if (!zip) return nothing;
    const folder = zip.name.replace(/\.zip$/, '');
    const lines = ['from model import load', 'from safetensors.torch import load_file', '', 'network = load()',
      'x = load_file("samples.safetensors")["input"]  # float32, as preprocessing.json says', 'print(network(x))'];
    return html`<h3>Run it in five lines</h3>${copyable([`# unzip ${zip.name} && cd ${folder}; it needs torch and safetensors, and nothing of Bregnas`, ...lines].join('\n'), 'Run it in Python')}
      <p class="small quiet">Or without a line: <code>python model.py</code> replays the recorded samples${['denoise', 'autoencode', 'deblur', 'super_resolve', 'translate', 'segment'].includes(this.search.spec.task.kind) ? html`, <code>python model.py in.png out.png</code> runs an image` : nothing}. <code>model.onnx</code> runs in ONNX Runtime.</p>`;
  }
}
customElements.define('b-outcome', Outcome);
