/** Something that needs a person. The texts are `overview.issue.<key>.head`, the link, and `.rest`. */
export interface Issue {
  readonly tone: 'bad' | 'warn';
  readonly key: string;
  readonly values: Readonly<Record<string, unknown>>;
  /** To its cause. */
  readonly href: string;
}

/** Worst first; among equals as they came. */
export function worstFirst(issues: readonly Issue[]): Issue[] {
  return [...issues.filter(({ tone }) => tone === 'bad'), ...issues.filter(({ tone }) => tone === 'warn')];
}
