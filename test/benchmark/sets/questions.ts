import type { PageRequest } from '../../../lib/job/set/page';

/** What an operator asks of the dead, from what no job has to what all have. */
export const QUESTIONS: Readonly<Record<string, PageRequest>> = {
  list: {},
  'list, last page': { offset: 49_975 },
  'queue, a fifth': { queue: 'mailer' },
  'class, a fifth': { class: 'SyncInvoiceJob' },
  'class, none': { class: 'AbsentJob' },
  'tag, a sixth': { tag: 'billing' },
  'tag, few': { tag: 'shop-123' },
  'tag, none': { tag: 'absent' },
  'error, all': { error: 'error' },
  'error, a fifth': { error: 'socket HANG up' },
  'error, few': { error: 'order 4123' },
  'error, none': { error: 'certificate' },
  'error, in file names only': { error: 'execution' },
  'text, all': { text: 'job' },
  'text, a fifth': { text: '김민준' },
  'text, letters of many': { text: 'retry_after' },
  'text, one': { text: 'user41234@' },
  'text, none': { text: 'nowhere' },
  'text, in file names only': { text: 'node_modules' },
  'text, an e': { text: 'e' },
  'text, as JSON has it': { text: '"order":141234' },
  'class and error': { class: 'SyncInvoiceJob', error: 'etimedout' },
  'tag and text': { tag: 'vip', text: 'LOVELACE' },
  'all four': { class: 'ChargeCardJob', tag: 'vip', error: 'order', text: 'grace', queue: ['default', 'slow'] },
};
