import assert from 'node:assert/strict';
import path from 'node:path';
import { TemplateError } from '../../../lib/mailer/definition/errors';
import { describeFault } from '../../../lib/mailer/preview/preview-renderer';
import { folderOf } from '../mail-system';

describe('describeFault', () => {
  const lines = Array.from({ length: 20 }, (_, n) => `line ${n + 1}`).join('\n');
  const root = folderOf({ 'mailers/user-mailer.js': lines, 'templates/html.ejs': lines });
  const app = { root, code: [path.join(root, 'mailers')] };
  const thrown = (...frames: string[]) => {
    const error = new RangeError('too much');
    error.stack = ['RangeError: too much', ...frames.map((frame) => `    at ${frame}`)].join('\n');
    return error;
  };

  it("shows the app's innermost line in context, and paths relative to the app's root", () => {
    const file = path.join(root, 'mailers/user-mailer.js');
    const fault = describeFault(
      thrown(
        'node:internal/process/task_queues:95:5',
        `check (${path.join(root, 'node_modules/x/index.js')}:1:1)`,
        `async UserMailer.welcome (${file}:7:3)`,
        `Object.<anonymous> (${file}:12:3)`,
      ),
      app,
    );
    assert.deepEqual([fault.name, fault.message], ['RangeError', 'too much']);
    assert.deepEqual([fault.file, fault.line], ['mailers/user-mailer.js', 7]);
    assert.deepEqual(fault.excerpt, { from: 3, lines: lines.split('\n').slice(2, 11) });
    assert.match(fault.stack, /at async UserMailer\.welcome \(mailers\/user-mailer\.js:7:3\)/);
  });

  it("shows a template's line", () => {
    const template = path.join(root, 'templates/html.ejs');
    const fault = describeFault(new TemplateError(template, 2, 'x is not defined', undefined), app);
    assert.deepEqual([fault.message, fault.file, fault.line], ['x is not defined', 'templates/html.ejs', 2]);
    assert.deepEqual(fault.excerpt?.lines.slice(0, 2), ['line 1', 'line 2']);
    const unknown = describeFault(new TemplateError(template, null, 'x is not defined', undefined), app);
    assert.deepEqual([unknown.message, unknown.line, unknown.excerpt?.from], ['x is not defined', null, 1]);
  });

  it('copes with errors whose location is unknown', () => {
    for (const odd of [thrown('node:internal/timers:1:1'), 'a string', null, undefined, { toString: () => 'odd' }]) {
      const fault = describeFault(odd, app);
      assert.deepEqual([fault.file, fault.line, fault.excerpt], [null, null, null]);
    }
    const gone = describeFault(thrown(`x (${path.join(root, 'mailers/gone.js')}:3:1)`), app);
    assert.deepEqual([gone.file, gone.line, gone.excerpt], ['mailers/gone.js', 3, null]);
  });
});
