import { setTimeout as wait } from 'node:timers/promises';
import type { SmtpFault, SmtpStep } from '../../support/smtp-proxy';
import type { Fault, Roll } from './fault';

const STEPS: readonly SmtpStep[] = ['greeting', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'message'];
const TROUBLE_MS = 5000;
const PLANNED = 12;

function pick<T>(all: readonly T[], roll: Roll): T {
  return all[roll(all.length)] as T;
}

const trouble = (name: string, about: string, faults: readonly SmtpFault[], steps = STEPS): Fault => ({
  name,
  about,
  async strike(scene, roll) {
    scene.note('answer of SMTP lost');
    for (let n = 0; n < PLANNED; n++) scene.smtp.plan.push({ step: pick(steps, roll), fault: pick(faults, roll) });
    await wait(TROUBLE_MS);
    scene.smtp.plan.length = 0;
    scene.note('answer of SMTP lost');
  },
});

/** Requests know nothing of mail; what was not sent is tried again. */
export const SMTP_FAULTS: readonly Fault[] = [
  trouble('smtp-refusals', 'the mail server says 421 and 450 at any step', [
    { answer: '421 4.3.2 closing' },
    { answer: '450 4.2.1 busy' },
  ]),
  trouble('smtp-dropped', 'connections to the mail server break at any step, in the middle of a mail, too', ['drop']),
  trouble(
    'smtp-answers-lost',
    'the mail server takes mails, and its answers are lost',
    ['lose the answer'],
    ['message'],
  ),
  {
    name: 'smtp-down',
    about: 'the mail server is down for 8 s',
    async strike({ smtp }) {
      await smtp.down();
      await wait(8000);
      await smtp.up();
    },
  },
];
