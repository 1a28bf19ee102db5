import { setTimeout as wait } from 'node:timers/promises';
import type { SmtpFault, SmtpStep } from '../../support/smtp-proxy';
import type { Fault } from './faults';

const STEPS: readonly SmtpStep[] = ['greeting', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'message'];
const TROUBLE_MS = 5000;
const PLANNED = 12;

const trouble = (name: string, about: string, faults: readonly SmtpFault[], steps = STEPS): Fault => ({
  name,
  about,
  async inject(environment, roll) {
    environment.note('answer of SMTP lost');
    const pick = <T>(all: readonly T[]) => all[roll(all.length)] as T;
    for (let n = 0; n < PLANNED; n++) environment.smtp.plan.push({ step: pick(steps), fault: pick(faults) });
    await wait(TROUBLE_MS);
    environment.smtp.plan.length = 0;
    environment.note('answer of SMTP lost');
  },
});

/** No request depends on SMTP, so none may be harmed. Mails that could not be sent must be retried. */
export const SMTP_FAULTS: readonly Fault[] = [
  trouble('smtp-refusals', 'the mail server replies 421 and 450 at any step', [
    { answer: '421 4.3.2 closing' },
    { answer: '450 4.2.1 busy' },
  ]),
  trouble('smtp-dropped', 'connections to the mail server break at any step, even in the middle of a mail', ['drop']),
  trouble(
    'smtp-answers-lost',
    'the mail server accepts mails, but its replies are lost',
    ['lose the answer'],
    ['message'],
  ),
  {
    name: 'smtp-down',
    about: 'the mail server is down for 8 s',
    async inject({ smtp }) {
      await smtp.network.down();
      await wait(8000);
      await smtp.network.up();
    },
  },
];
