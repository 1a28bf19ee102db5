import { MailLedger } from '../../process/mail-ledger';

/**
 * A real SMTP server in a process of its own, so that its work is not measured. It sends its URL, and for each message
 * it gets, the number of mails received since the previous one.
 */
void MailLedger.start().then((ledger) => {
  process.on('message', () => {
    process.send?.(ledger.entries.length);
    ledger.entries.length = 0;
  });
  process.send?.(ledger.url);
});
