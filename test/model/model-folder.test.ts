import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../../lib/core/errors';
import { ModelFolder } from '../../lib/model/model-lookup';
import { removeFolder, tempFolder } from '../support/temp-folder';

const MODEL = path.resolve(__dirname, '../../lib/model/transaction.ts');

describe('the models folder', () => {
  let folder: string;
  beforeEach(() => {
    folder = tempFolder('models');
  });
  afterEach(() => removeFolder(folder));

  const write = (name: string, text: string) => {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), `const { Model } = require(${JSON.stringify(MODEL)});\n${text}`);
  };
  const model = (name: string) => `class ${name} extends Model { static tableName = '${name.toLowerCase()}'; }`;

  it('holds every model that its files export, however they do, and those of folders below', () => {
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
    const models = new ModelFolder(folder);
    const tables = ['User', 'Order', 'Line', 'Till'].map((name) => models.get(name)?.tableName);
    assert.deepEqual(tables, ['user', 'order', 'line', 'till']);
    for (const name of ['MAX', 'constructor', '__proto__', 'Model']) assert.equal(models.get(name), undefined);
  });

  it('is read when the first model is asked for, once', () => {
    const models = new ModelFolder(folder);
    write('user.js', `${model('User')} module.exports = User;`);
    const found = models.get('User');
    assert.ok(found);
    fs.rmSync(path.join(folder, 'user.js'));
    assert.equal(models.get('User'), found);
  });

  it('may be missing', () => {
    assert.equal(new ModelFolder(path.join(folder, 'nowhere')).get('User'), undefined);
  });

  it('refuses two models of one name', () => {
    write('a.js', `${model('User')} module.exports = User;`);
    write('b.js', `${model('User')} module.exports = User;`);
    assert.throws(() => new ModelFolder(folder).get('User'), /b\.js: there is another model named User/);
  });

  it('names the file that cannot be loaded, each time it is asked', () => {
    write('a.js', 'throw new Error("broken");');
    const models = new ModelFolder(folder);
    for (const _ of [1, 2]) {
      assert.throws(
        () => models.get('User'),
        (error) => error instanceof UserError && /a\.js: broken/.test(error.message),
      );
    }
  });
});
