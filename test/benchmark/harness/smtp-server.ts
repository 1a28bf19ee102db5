import { MailLedger } from '../../process/mail-ledger';

/**
 * A real SMTP server in a process of its own, so that its work is not counted. It sends its URL, then, for each message,
 * how many mails have come since the last one.
 */
void MailLedger.start().then((ledger) => {
  process.on('message', () => {
    process.send?.(ledger.entries.length);
    ledger.entries.length = 0;
  });
  process.send?.(ledger.url);
});
