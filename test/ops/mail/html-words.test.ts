import assert from 'node:assert/strict';
import { frameHtml, remoteImages } from '../../../lib/ops/mail/mail-frame';
import { htmlToText, previewLine } from '../../../lib/ops/mail/parsed-mail';

const words = (html: string) => htmlToText(html).replace(/\s+/g, ' ').trim();

describe('htmlToText', () => {
  it('is the text between tags', () => {
    const html =
      '<HEAD><title>No</title><style>p { a: b }</style></HEAD><p title="1 > 0">One<br>two</p><!-- <p>no</p> -->&lt;three&gt;';
    assert.equal(words(html), '0">One two <three>');
    assert.equal(words('<header>Read</header><script>no</script >and this<SCRIPT>no</SCRIPT>'), 'Read and this');
    assert.equal(words('a &#x1F408; &#99999999; &unknown; &nbsp;b &#0;'), 'a 🐈 &unknown; b \0');
  });

  it('ends at an unclosed element', () => {
    for (const open of ['<p', '<!-- no', '<style>no', '<script>no', '<head>no', '<'])
      assert.equal(words(`One${open}`), 'One');
  });

  it('stops when it has enough', () => {
    assert.equal(htmlToText('<p>One</p><p>Two</p><p>Three</p>', 4), 'One Two');
  });

  it('takes linear time even on malicious input, as do the other functions that read HTML', () => {
    /** CPU time, ms: wall-clock time would include other processes. */
    const timeOf = (html: string) => {
      const since = process.cpuUsage();
      previewLine(html, null);
      htmlToText(html);
      remoteImages(html);
      frameHtml({ html, attachments: [] });
      const { user, system } = process.cpuUsage(since);
      return (user + system) / 1000;
    };
    for (const odd of [
      '<',
      '<!--',
      '<style>',
      '<head ',
      '<img ',
      '<img src',
      '&#',
      'cid:',
      'url(',
      '\u200b ',
      '<p>x ',
    ]) {
      timeOf(odd.repeat(1000));
      const short = Math.max(5, timeOf(odd.repeat(10_000)));
      const long = timeOf(odd.repeat(200_000));
      // The input is twenty times as long. Quadratic time would be four hundred times as much.
      assert.ok(long < short * 150, `${odd}: ${short} ms, ${long} ms`);
    }
  });
});

describe('previewLine', () => {
  it('is the start of the text in the HTML, up to the filler after it', () => {
    const filler = '&#847;&zwnj;&nbsp;'.repeat(30);
    const html = `<!doctype html><head><title>No</title><style>p { color: red }</style></head><body>
      <!-- nor this --><div style="display: none">Confirm &amp; you&#39;re&nbsp;in.${filler}</div><h1>Welcome</h1>`;
    assert.equal(previewLine(html, 'Plain'), "Confirm & you're in.");
    assert.equal(previewLine('<p>One</p><p>two\n three &unknown; &#x1F408;</p>', null), 'One two three &unknown; 🐈');
    assert.equal(previewLine(`<body>${filler}<p>Behind the filler</p>`, null), 'Behind the filler');
  });

  it('is the text part if there is no HTML, truncated at a word', () => {
    assert.equal(previewLine(null, '  Hello\n\nAda '), 'Hello Ada');
    assert.equal(previewLine(null, null), '');
    const long = previewLine(null, 'word '.repeat(100));
    assert.match(long, /^(word )+word…$/);
    assert.ok(long.length <= 141);
  });
});
