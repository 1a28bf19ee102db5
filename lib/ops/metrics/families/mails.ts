import { OTHER_CLASSES } from '../../../job/history/history-keys';
import { MAIL_OUTCOMES } from '../../../job/history/mail-tally';
import type { Family } from '../family';

export const MAILS: readonly Family[] = [
  {
    name: 'catamount_mails_total',
    shared: true,
    type: 'counter',
    help: 'Mails by mailer and outcome, of all trees on this Redis, since its data began. A mail that is tried again counts each time.',
    read: ({ history }) =>
      [...(history?.mailers ?? [])].flatMap(([name, counts]) =>
        MAIL_OUTCOMES.map((outcome) => ({
          labels: { mailer: name === OTHER_CLASSES ? 'other' : name, outcome },
          value: counts[outcome],
        })),
      ),
  },
];
