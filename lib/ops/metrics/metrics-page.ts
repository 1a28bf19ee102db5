import { Lookout } from '../../verdict/lookout';
import type { OpsOptions } from '../options';
import { expose } from './exposition';
import { FAMILIES } from './families';
import { read } from './readings';

/** The text of a scrape. Scrapes at the same time are told the same. */
export class MetricsPage {
  private reading: Promise<string> | undefined;

  private readonly lookout: Lookout;

  constructor(private readonly options: OpsOptions) {
    this.lookout = new Lookout(options);
  }

  text(): Promise<string> {
    this.reading ??= this.readAll().finally(() => {
      this.reading = undefined;
    });
    return this.reading;
  }

  private async readAll(): Promise<string> {
    return expose(FAMILIES, await read({ ...this.options, lookout: this.lookout }));
  }
}
