import assert from 'node:assert/strict';
import { mailCalls } from '../../lib/mailer/check/mail-calls';

/** The names of the options of each call that is found. */
const names = (source: string) => mailCalls(source).map((each) => [...each]);

describe('the calls of mail() in the source of an action', () => {
  for (const [what, source, expected] of [
    ['options by name', 'a() { return this.mail({ to: user.email, "text": "a", html }); }', [['to', 'text', 'html']]],
    ['one in each branch', 'if (x) return this.mail({ text }); return this.mail({})', [['text'], []]],
    [
      'words elsewhere',
      'const text = f({ html: 1 }); this.mail({ to: text, locals: { text, html } })',
      [['to', 'locals']],
    ],
    [
      'words in texts and comments',
      `this.mail({ to: 'a, text: b', /* html: */ subject: \`c, text: \${d}\` })`,
      [['to', 'subject']],
    ],
    [
      'brackets in texts',
      "this.mail({ subject: '}) {', to: [a, b], locals: f({ c: [d] }) })",
      [['subject', 'to', 'locals']],
    ],
    ['regular expressions', 'this.mail({ subject: a.replace(/["{/]/g, ""), text: b(/[/]`/) })', [['subject', 'text']]],
    ['a division', 'const half = (a + b) / 2; this.mail({ to, text: c[0] / 2 + "/" })', [['to', 'text']]],
    ['a trailing comma', 'this.mail({ to, })', [['to']]],
  ] as const) {
    it(`are found: ${what}`, () => assert.deepEqual(names(source), expected));
  }

  for (const [what, source] of [
    ['a spread', 'this.mail({ to, ...bodies })'],
    ['a computed name', 'this.mail({ [part]: "a" })'],
    ['options from elsewhere', 'this.mail(options)'],
    ['an expression', 'this.mail({ to } && other)'],
    ['another object', 'post.mail({ to })'],
    ['a comment', '// this.mail({ to })'],
    ['a template within a template', `this.mail({ subject: \`a \${b ? \`c\` : ""}\`, text })`],
    ['a source that ends early', 'this.mail({ to'],
  ] as const) {
    it(`are left out where they cannot be known: ${what}`, () => assert.deepEqual(names(source), []));
  }
});
