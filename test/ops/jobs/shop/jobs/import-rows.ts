import { Job } from '../../../../../lib/job/job';
import { imports } from '../billing';

/** Reports its progress, then waits until a test releases it. */
export default class ImportRowsJob extends Job<[{ readonly import: number; readonly from: number }]> {
  async perform(_rows: { readonly import: number; readonly from: number }): Promise<void> {
    await this.progress(0.42);
    await imports.pass(this.context.signal);
  }
}
