import { Job } from '../../../../../lib/job/job';
import { postInvoice } from '../billing';

interface Invoice {
  readonly invoice: string;
  readonly amount: number;
  readonly token: string;
  readonly email: string;
}

/** Dies at its first failure. */
export default class SyncInvoiceJob extends Job<[order: { readonly [K in keyof Invoice]: Invoice[K] }]> {
  static override readonly retry = { limit: 0 };
  static override readonly tags = ['billing'];

  async perform({ invoice }: Invoice): Promise<void> {
    await postInvoice(invoice);
  }
}
