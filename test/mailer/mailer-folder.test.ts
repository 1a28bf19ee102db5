import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../../lib/core/errors';
import { loadMailers } from '../../lib/mailer/mailer-registry';
import { writeFiles } from '../support/app-folder';
import { removeFolder, tempFolder } from '../support/temp-folder';

const MAILER = JSON.stringify(path.resolve(__dirname, '../../lib/mailer/mailer'));

describe('the folder of mailers', () => {
  let folder: string;
  beforeEach(() => {
    folder = tempFolder('mailers');
  });
  afterEach(() => removeFolder(folder));

  const write = (name: string, body: string) =>
    writeFiles(folder, { [name]: `import { Mailer } from ${MAILER};\n${body}` });
  const refuses = (file: string, reason: RegExp) =>
    assert.rejects(
      loadMailers(folder),
      (error) =>
        error instanceof UserError && error.message.includes(path.join(folder, file)) && reason.test(error.message),
    );

  it('provides the mailer of each file by class name, however it is exported', async () => {
    write('user-mailer.ts', 'export class UserMailer extends Mailer {}\nexport const other = 1;');
    write('order-mailer.ts', 'export default class OrderMailer extends Mailer {}');
    write('news.js', `module.exports = class NewsMailer extends Mailer {};`);
    write('previews/user-mailer-preview.ts', 'throw new Error("a preview is no mailer")');
    write('shared/base.ts', 'throw new Error("nor is this")');
    write('user-mailer.test.ts', 'throw new Error("nor a test")');
    write('old.d.ts', 'nonsense');
    write('index.ts', "export * from './user-mailer'; export { default as OrderMailer } from './order-mailer';");
    fs.mkdirSync(path.join(folder, 'templates'));
    fs.writeFileSync(path.join(folder, 'README.md'), 'text');
    const mailers = await loadMailers(folder);
    assert.deepEqual([...mailers].map(({ name }) => name).sort(), ['NewsMailer', 'OrderMailer', 'UserMailer']);
    assert.equal(mailers.get('OrderMailer')?.name, 'OrderMailer');
    assert.equal(mailers.get('Nobody'), undefined);
    assert.equal(mailers.place, folder);
  });

  it('may be missing', async () => {
    assert.deepEqual([...(await loadMailers(path.join(folder, 'missing')))], []);
  });

  it('must not have a file without a mailer, with two, or that cannot be loaded', async () => {
    write('c.ts', 'export const text = Mailer.name');
    await refuses('c.ts', /must export a subclass of Mailer/);
    write('b.ts', 'export class AMailer extends Mailer {}\nexport class BMailer extends Mailer {}');
    await refuses('b.ts', /exports AMailer and BMailer: give each a file of its own/);
    write('a.ts', 'throw new Error("it broke")');
    await refuses('a.ts', /it broke/);
  });
});
