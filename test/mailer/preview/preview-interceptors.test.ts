import assert from 'node:assert/strict';
import type { MailSetup } from '../../../lib/mailer/definition/setup';
import { Mailer, MailerPreview } from '../../../lib/mailer/mailer';
import { Previews } from '../../../lib/mailer/preview/preview-registry';
import { PreviewRenderer } from '../../../lib/mailer/preview/preview-renderer';
import { folderOf } from '../mail-system';

class NoteMailer extends Mailer {
  static readonly note = this.action('note');
  note() {
    return this.mail({ to: 'ada@example.com', subject: 'Note', text: 'Hello' });
  }
}

class NoteMailerPreview extends MailerPreview {
  note() {
    return NoteMailer.note();
  }
}

describe('preview interceptors', () => {
  async function preview(setup: MailSetup): Promise<{ readonly kind: string; readonly eml: string }> {
    const folder = folderOf({});
    const previews = new Previews();
    previews.add(NoteMailerPreview);
    const renderer = new PreviewRenderer({
      config: {
        appUrl: 'https://shop.example',
        defaultLocale: 'en',
        environment: 'test',
        mail: { delivery: 'test', smtpUrl: null, from: 'shop@example.com', dir: '' },
      },
      root: folder,
      templatesDir: folder,
      localesDir: folder,
      setup: async () => setup,
      previews: async () => previews,
      inRolledBackTransaction: (work) => work(),
    });
    const answer = await renderer.answer({ id: 1, ask: 'mail', mailer: 'NoteMailer', action: 'note', locale: 'en' });
    const eml = answer.kind === 'mail' ? Buffer.from(answer.eml, 'base64').toString() : '';
    return { kind: answer.kind === 'fault' ? answer.message : answer.kind, eml };
  }

  it('change what a preview shows; those of sent mails do not', async () => {
    const { kind, eml } = await preview({
      interceptors: [(message) => ({ ...message, subject: 'Staging' })],
      previewInterceptors: [
        (message, { mailer, action }) => ({ ...message, subject: `${message.subject} by ${mailer}#${action}` }),
        (message) => ({ ...message, subject: `${message.subject}!` }),
      ],
    });
    assert.equal(kind, 'mail');
    assert.match(eml, /^Subject: Note by NoteMailer#note!\r$/m);
    assert.equal((await preview({ interceptors: [() => 'cancel'] })).kind, 'mail');
  });

  it('may show none, and are checked', async () => {
    assert.equal((await preview({ previewInterceptors: [() => 'cancel'] })).kind, 'none');
    const { kind } = await preview({ previewInterceptors: [(message) => ({ ...message, to: [] })] });
    assert.match(kind, /the mail has no recipient/);
  });
});
