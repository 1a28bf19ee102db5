import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { InvalidMailError, PermanentDeliveryError } from '../../../lib/mailer/definition/errors';
import { openServer } from '../../../lib/mailer/transport/open-transport';
import { isRunning } from '../../support/processes';
import { removeFolder, tempFolder } from '../../support/temp-folder';
import { until } from '../../support/until';
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

  it('fails when it ends without reading the mail, or does not exist', async () => {
    const large = { ...MESSAGE, text: 'x'.repeat(1e6) };
    await assert.rejects(open('exit 0').send(large), /EPIPE|premature close/i);
    const missing = openServer({ delivery: 'sendmail', smtpUrl: null, keys: { SENDMAIL_PATH: `${folder}/none` } });
    await assert.rejects(async () => missing.verify?.(), /ENOENT.*none/);
    await assert.rejects(missing.send(MESSAGE), /ENOENT/);
  });

  it('gives no address to the command that it would take for an option', async () => {
    const sendmail = open('cat > mail');
    await assert.rejects(sendmail.send(message({ to: [box('-OQueueDirectory=@example.com')] })), InvalidMailError);
    assert.ok(!fs.existsSync(path.join(folder, 'mail')));
  });

  it('is killed, with what it has started, when it takes too long, and when the process stops', async () => {
    const hangs = 'cat > /dev/null; sleep 600 & echo $! > started; echo $$ > own; wait';
    const both = () => ['started', 'own'].map((name) => Number(kept(name)));
    assert.match((await failure(hangs, 1000)).message, /did not answer within 1000 ms/);
    await until('both have ended', () => !both().some(isRunning));
    fs.rmSync(path.join(folder, 'own'));
    const sendmail = open(hangs);
    const sending = assert.rejects(sendmail.send(MESSAGE), /before the process stopped/);
    await until('it hangs', () => fs.existsSync(path.join(folder, 'own')) && kept('own') !== '');
    await sendmail.close?.();
    assert.ok(both().every(isRunning));
    await sendmail.close?.({ force: true });
    await sending;
    await until('both have ended', () => !both().some(isRunning));
  });
});
