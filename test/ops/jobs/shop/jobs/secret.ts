import { Job } from '../../../../../lib/job/job';

/** Shows nobody what it was given. */
export default class SecretJob extends Job<[word: string]> {
  static override readonly retry = { limit: 0 };
  static override readonly logArguments = false;

  perform(_word: string): void {
    throw new Error('no');
  }
}
