import { Gate } from '../../../job/gate';

/** Holds the jobs that import rows until it is opened. */
export const imports = new Gate();

export class BillingTimeout extends Error {
  override readonly name = 'BillingTimeout';
}

/** A service that the shop's jobs need. It fails until a test sets `works`. */
export const billing = { works: false, invoices: [] as string[] };

export async function postInvoice(invoice: string): Promise<void> {
  if (billing.works) {
    billing.invoices.push(invoice);
    return;
  }
  const cause = new Error('The operation was aborted');
  throw new BillingTimeout('No answer from billing.example.com in 15 s', { cause });
}
