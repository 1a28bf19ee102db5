import assert from 'node:assert/strict';
import path from 'node:path';
import { MailerPreview } from '../../../lib/mailer/mailer';
import { loadPreviews, Previews } from '../../../lib/mailer/preview/preview-registry';
import { folderOf } from '../mail-system';

const BASE = JSON.stringify(path.resolve(__dirname, '../../../lib/mailer/mailer'));
const preview = (name: string, body = '') =>
  `const { MailerPreview } = require(${BASE}); exports.default = class ${name} extends MailerPreview { ${body} };`;

describe('previews in a folder', () => {
  it('are listed by mailer, then in the order of their definition, inherited ones last', () => {
    class Base extends MailerPreview {
      shared() {}
    }
    class ZooMailerPreview extends Base {
      second() {}
      first() {}
      _own() {}
      get size() {
        return 1;
      }
      static make() {}
    }
    class AppMailerPreview extends MailerPreview {
      hello() {}
    }
    const previews = new Previews();
    previews.add(ZooMailerPreview);
    previews.add(AppMailerPreview);
    assert.deepEqual(
      previews.names().map(({ mailer, action }) => `${mailer}#${action}`),
      ['AppMailer#hello', 'ZooMailer#second', 'ZooMailer#first', 'ZooMailer#shared'],
    );
    assert.equal(previews.find({ mailer: 'ZooMailer', action: 'shared' }), ZooMailerPreview);
    for (const action of ['constructor', '_own', 'size', 'make', 'toString', '__proto__', 'hasOwnProperty'])
      assert.equal(previews.find({ mailer: 'ZooMailer', action }), undefined, action);
    for (const mailer of ['Zoo', '__proto__', 'constructor', ''])
      assert.equal(previews.find({ mailer, action: 'first' }), undefined, mailer);
  });

  it('are loaded from files of one class each; the folder may be missing', async () => {
    const folder = folderOf({ 'user-mailer-preview.js': preview('UserMailerPreview', 'welcome() {}'), 'notes.md': '' });
    assert.deepEqual((await loadPreviews(folder)).names(), [{ mailer: 'UserMailer', action: 'welcome' }]);
    assert.deepEqual((await loadPreviews(path.join(folder, 'missing'))).names(), []);
  });

  it('are rejected with the name of the file that cannot be used, and the reason', async () => {
    for (const [file, source, reason] of [
      ['none.js', 'exports.x = 1', /none\.js: a file in the previews folder must export one subclass of MailerPreview/],
      [
        'name.js',
        preview('UserMails'),
        /name\.js: its class is named UserMails; name it after a mailer: UserMailerPreview/,
      ],
    ] as const) {
      await assert.rejects(loadPreviews(folderOf({ [file]: source })), reason);
    }
    const twice = folderOf({ 'a.js': preview('UserMailerPreview'), 'b.js': preview('UserMailerPreview') });
    await assert.rejects(loadPreviews(twice), /b\.js: there is another UserMailerPreview/);
  });
});
