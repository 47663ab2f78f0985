// Makes the single files that the pages load, with their licences and hashes. Run by `make vendor`.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';

const out = '../app/static/vendor';
const from = (name) => `node_modules/${name}`;

const LIT = `
export { LitElement, html, svg, nothing, render } from 'lit';
export { live } from 'lit/directives/live.js';
export { ref, createRef } from 'lit/directives/ref.js';
`;
const one = { bundle: true, minify: true, format: 'esm', target: 'es2022', legalComments: 'none' };
await build({ ...one, stdin: { contents: LIT, resolveDir: '.' }, outfile: `${out}/lit.js` });
await build({ ...one, entryPoints: [`${from('uplot')}/dist/uPlot.esm.js`], outfile: `${out}/uplot.js` });
copyFileSync(`${from('uplot')}/dist/uPlot.min.css`, `${out}/uplot.css`);
// Without the link to its map, which is not here.
const bundle = readFileSync(`${from('swagger-ui-dist')}/swagger-ui-bundle.js`, 'utf8');
writeFileSync(`${out}/swagger-ui.js`, bundle.replace(/\/\/# sourceMappingURL=.*\s*$/, '\n'));
const sheet = readFileSync(`${from('swagger-ui-dist')}/swagger-ui.css`, 'utf8');
writeFileSync(`${out}/swagger-ui.css`, sheet.replace(/\/\*# sourceMappingURL=.*?\*\/\s*$/, '\n'));
copyFileSync(`${from('axe-core')}/axe.min.js`, '../tests/page/axe.min.js');
copyFileSync(`${from('axe-core')}/LICENSE`, '../tests/page/axe.LICENSE');

const files = {
  'lit.js': ['lit', 'LICENSE'],
  'uplot.js': ['uplot', 'LICENSE'],
  'uplot.css': ['uplot', 'LICENSE'],
  'swagger-ui.js': ['swagger-ui-dist', 'LICENSE', 'NOTICE', 'swagger-ui-bundle.js.LICENSE.txt'],
  'swagger-ui.css': ['swagger-ui-dist', 'LICENSE'],
};
const listed = {};
const texts = new Map();
for (const [file, [name, ...licences]] of Object.entries(files)) {
  const { version, license } = JSON.parse(readFileSync(`${from(name)}/package.json`, 'utf8'));
  const sha256 = createHash('sha256').update(readFileSync(`${out}/${file}`)).digest('hex');
  listed[file] = { package: name, version, license, sha256 };
  for (const licence of licences) texts.set(`${name} ${version}: ${licence}`, readFileSync(`${from(name)}/${licence}`, 'utf8'));
}
writeFileSync(`${out}/vendor.json`, JSON.stringify(listed, null, 1) + '\n');
const licences = [...texts].map(([title, text]) => `${title}\n${'='.repeat(title.length)}\n\n${text.trim()}\n`).join('\n\n');
writeFileSync(`${out}/LICENSES.txt`, licences);
