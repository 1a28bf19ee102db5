import type { MailSetup } from '../mailer/setup';
import { checkMailSetup } from '../mailer/setup-check';
import type { AppDefinition } from './app-definition';
import { loadSetup } from './load-setup';

/** What the app adds to its mail; nothing where it says nothing. @throws UserError that names the file. */
export async function loadMailSetup({ mailSetup }: Pick<AppDefinition, 'mailSetup'>): Promise<MailSetup> {
  return mailSetup ? loadSetup('mailSetup', mailSetup, checkMailSetup) : {};
}
