import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { PermanentDeliveryError } from '../../../lib/mailer/definition/errors';
import { openServer } from '../../../lib/mailer/transport/open-transport';
import { removeFolder, tempFolder } from '../../support/temp-folder';
import { box, message } from './message';

const MESSAGE = message({ to: [box('ada@example.com')], bcc: [box('secret@example.com')] });

/** The command is a script that keeps what it gets, as no real one can be relied on here. */
describe('mail by sendmail', () => {
  let folder: string;
  beforeEach(() => {
    folder = tempFolder('sendmail');
  });
  afterEach(() => removeFolder(folder));

  const open = (does: string, limitMs?: number) => {
    const file = path.join(folder, 'sendmail');
    fs.writeFileSync(file, `#!/bin/sh\ncd "${folder}"\n${does}\n`, { mode: 0o755 });
    return openServer({ delivery: 'sendmail', smtpUrl: null, keys: { SENDMAIL_PATH: file } }, limitMs);
  };
  const kept = (name: string) => fs.readFileSync(path.join(folder, name), 'utf8');
  const failure = async (does: string, limitMs?: number): Promise<Error> => {
    const error: unknown = await open(does, limitMs)
      .send(MESSAGE)
      .then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
    return error instanceof Error ? error : assert.fail('it was sent');
  };

  it('goes to all recipients, of whom no header names those in Bcc', async () => {
    const sendmail = open(`printf '%s\\n' "$@" > words; cat > mail`);
    await sendmail.verify?.();
    assert.equal((await sendmail.send(MESSAGE)).messageId, MESSAGE.messageId);
    assert.deepEqual(kept('words').trim().split('\n'), [
      '-i',
      '-f',
      'hello@shop.example',
      'ada@example.com',
      'secret@example.com',
    ]);
    assert.match(kept('mail'), /^To: ada@example\.com$/m);
    assert.doesNotMatch(kept('mail'), /secret/);
  });

  it('is dead when the address or the mail is refused, and retried after any other failure', async () => {
    const refused = await failure('cat > /dev/null; exit 67');
    assert.ok(refused instanceof PermanentDeliveryError);
    assert.equal(refused.code, 67);
    const busy = await failure('cat > /dev/null; exit 75');
    assert.ok(!(busy instanceof PermanentDeliveryError));
    assert.match(busy.message, /75/);
  });

  it('fails when the command takes too long, or does not exist', async () => {
    assert.match((await failure('cat > /dev/null; sleep 5', 50)).message, /did not take the mail within 50 ms/);
    const missing = openServer({ delivery: 'sendmail', smtpUrl: null, keys: { SENDMAIL_PATH: `${folder}/none` } });
    await assert.rejects(async () => missing.verify?.(), /ENOENT.*none/);
    await assert.rejects(missing.send(MESSAGE), /ENOENT/);
  });
});
