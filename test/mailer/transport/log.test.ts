import assert from 'node:assert/strict';
import { Mailer } from '../../../lib/mailer/mailer';
import { folderOf, MailSystem } from '../mail-system';

class NoteMailer extends Mailer {
  static override readonly layout = false;
  static readonly note = this.action('note');
  note() {
    return this.mail({ to: 'ada@example.com', subject: 'Note' });
  }
}

describe('MAIL_DELIVERY=log', () => {
  it('logs the text of a mail instead of sending it', async () => {
    const templatesDir = folderOf({ 'note_mailer/note/text.ejs': 'Plain' });
    const system = await MailSystem.open({ delivery: 'log' }, { templatesDir });
    assert.equal((await NoteMailer.note().deliverNow()).status, 'sent');
    const [{ to, subject, text } = assert.fail('nothing was logged')] = system.all('mail.logged');
    assert.deepEqual([to, subject, text], [['ada@example.com'], 'Note', 'Plain\n']);
    assert.equal(system.all('mail.sent')[0]?.via, 'log');
    await system.close();
  });
});
