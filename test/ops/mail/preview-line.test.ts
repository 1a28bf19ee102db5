import assert from 'node:assert/strict';
import { previewLine } from '../../../lib/ops/mail/preview-line';

describe('previewLine', () => {
  it('is the first words of the HTML, up to the filler behind them', () => {
    const filler = '&#847;&zwnj;&nbsp;'.repeat(30);
    const html = `<!doctype html><head><title>No</title><style>p { color: red }</style></head><body>
      <!-- nor this --><div style="display: none">Confirm &amp; you&#39;re&nbsp;in.${filler}</div><h1>Welcome</h1>`;
    assert.equal(previewLine(html, 'Plain'), "Confirm & you're in.");
    assert.equal(previewLine('<p>One</p><p>two\n three &unknown; &#x1F408;</p>', null), 'One two three &unknown; 🐈');
    assert.equal(previewLine(`<body>${filler}<p>Behind the filler</p>`, null), 'Behind the filler');
  });

  it('is the text where there is no HTML, cut at a word', () => {
    assert.equal(previewLine(null, '  Hello\n\nAda '), 'Hello Ada');
    assert.equal(previewLine(null, null), '');
    const long = previewLine(null, 'word '.repeat(100));
    assert.match(long, /^(word )+word…$/);
    assert.ok(long.length <= 141);
  });
});
