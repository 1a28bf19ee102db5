import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../../lib/core/errors';
import { loadModels } from '../../lib/model/model-lookup';
import { writeFiles } from '../support/app-folder';
import { removeFolder, tempFolder } from '../support/temp-folder';

const MODEL = path.resolve(__dirname, '../../lib/model/model.ts');

describe('the models folder', () => {
  let folder: string;
  beforeEach(() => {
    folder = tempFolder('models');
  });
  afterEach(() => removeFolder(folder));

  const write = (name: string, text: string) =>
    writeFiles(folder, { [name]: `const { Model } = require(${JSON.stringify(MODEL)});\n${text}` });
  const model = (name: string) => `class ${name} extends Model { static tableName = '${name.toLowerCase()}'; }`;

  it('yields every model that its files and those of its subfolders export, whatever the kind of export', async () => {
    write('user.js', `${model('User')} module.exports = User;`);
    write(
      'order.js',
      `${model('Order')} ${model('Line')} exports.Order = Order; exports.Line = Line; exports.MAX = 5;`,
    );
    write('shop/till.ts', `${model('Till')} export default Till;`);
    write('again.js', "exports.User = require('./user.js');");
    write('user.test.js', 'throw new Error("not to be loaded");');
    write('types.d.ts', 'throw new Error("not to be loaded");');
    fs.writeFileSync(path.join(folder, 'README.md'), '');
    const models = await loadModels(folder);
    const tables = ['User', 'Order', 'Line', 'Till'].map((name) => models.get(name)?.tableName);
    assert.deepEqual(tables, ['user', 'order', 'line', 'till']);
    for (const name of ['MAX', 'constructor', '__proto__', 'Model']) assert.equal(models.get(name), undefined);
  });

  it('may be missing', async () => {
    assert.equal((await loadModels(path.join(folder, 'nowhere'))).get('User'), undefined);
  });

  it('is rejected with the name of the file that cannot be loaded', async () => {
    write('a.js', 'throw new Error("broken");');
    await assert.rejects(
      loadModels(folder),
      (error) => error instanceof UserError && /a\.js: broken/.test(error.message),
    );
  });
});
