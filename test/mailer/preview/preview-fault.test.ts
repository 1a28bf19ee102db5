import assert from 'node:assert/strict';
import path from 'node:path';
import { TemplateError } from '../../../lib/mailer/definition/errors';
import { describeFault } from '../../../lib/mailer/preview/preview-renderer';

describe('describeFault', () => {
  const root = '/srv/shop';

  it("names the place, the reason and the lines around it, with paths relative to the app's root", () => {
    const template = path.join(root, 'templates/html.ejs');
    const cause = new Error(`${template}:2\n >> 2| <%= x %>\n\nx is not defined`);
    const fault = describeFault(new TemplateError(template, 2, 'x is not defined', cause), root);
    assert.deepEqual([fault.name, fault.message], ['TemplateError', 'templates/html.ejs:2: x is not defined']);
    assert.match(fault.stack, / at .*preview-fault\.test\.ts/);
    assert.match(fault.stack, / >> 2\| <%= x %>/);
    assert.ok(!fault.stack.includes(root));
  });

  it('copes with anything that is thrown', () => {
    for (const odd of ['a string', null, undefined, { toString: () => 'odd' }])
      assert.equal(typeof describeFault(odd, root).stack, 'string');
  });
});
