import { MailLedger } from '../../process/mail-ledger';

/** A real SMTP server in a process of its own, so that its work is not counted. Says its URL, then how much it has got. */
async function main(): Promise<void> {
  const ledger = await MailLedger.start();
  process.on('message', (message) => {
    if (message === 'end') process.exit();
    process.send?.(ledger.entries.length);
    ledger.entries.length = 0;
  });
  process.send?.(ledger.url);
}

void main();
