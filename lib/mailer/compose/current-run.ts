import { NotConnectedError } from '../../core/errors';
import type { MailOptions, UrlFor } from '../definition/mail-types';
import type { Attachments, Mail } from './mail';
/** The operations an action may call while it builds a mail. */
export interface MailerRun {
  readonly action: string;
  readonly params: object;
  readonly attachments: Attachments;
  readonly urlFor: UrlFor;
  mail(options: MailOptions): Mail;
}

const RUN = Symbol('run');

interface Attached {
  [RUN]?: MailerRun;
}

/** @throws NotConnectedError when no message is being built with this instance. */
export function currentRun(mailer: object): MailerRun {
  const run = (mailer as Attached)[RUN];
  if (run) return run;
  const name = mailer.constructor.name;
  throw new NotConnectedError(
    `a ${name} that you created yourself builds no mail: declare its actions as statics, as in static readonly welcome = this.action('welcome'), and call ${name}.welcome()`,
  );
}

export function attachRun(mailer: object, run: MailerRun): void {
  (mailer as Attached)[RUN] = run;
}
