import { Job } from '../../../../../lib/job/job';

/** Never shows its arguments. */
export default class SecretJob extends Job<[word: string]> {
  static override readonly retry = { limit: 0 };
  static override readonly logArguments = false;

  perform(_word: string): void {
    throw new Error('no');
  }
}
