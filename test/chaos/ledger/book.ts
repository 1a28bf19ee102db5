import fs from 'node:fs';

interface Line {
  readonly chore?: number;
  readonly walk?: number;
  readonly step?: number;
  readonly tick?: string;
}

/** What the jobs of test/fixtures/chaos-app have written down. */
export class Book {
  constructor(readonly file: string) {
    fs.writeFileSync(file, '');
  }

  /** How often each chore was done. */
  chores(): Map<number, number> {
    return counts(this.lines().flatMap(({ chore }) => chore ?? []));
  }

  ticks(): Map<string, number> {
    return counts(this.lines().flatMap(({ tick }) => tick ?? []));
  }

  /** The steps of walks, in the order they were taken. */
  walks(): Map<number, number[]> {
    const walks = new Map<number, number[]>();
    for (const { walk, step } of this.lines()) {
      if (walk !== undefined && step !== undefined) walks.set(walk, [...(walks.get(walk) ?? []), step]);
    }
    return walks;
  }

  private lines(): Line[] {
    const lines = fs.readFileSync(this.file, 'utf8').split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line) as Line);
  }
}

function counts<T>(items: readonly T[]): Map<T, number> {
  const found = new Map<T, number>();
  for (const item of items) found.set(item, (found.get(item) ?? 0) + 1);
  return found;
}
