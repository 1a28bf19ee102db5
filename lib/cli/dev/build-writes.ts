/** Finds the files that an app's build itself writes among its sources. Their changes are no reason to build again. */
export class BuildWrites {
  /** Files that changed during the last build. */
  private suspects: ReadonlySet<string> = new Set();
  /** Files that changed during two builds in a row. What changes during a build is the reason for the next one. */
  private readonly written = new Set<string>();

  /** Takes note that somebody has changed files while nothing was built. */
  forget(changed: ReadonlySet<string>): void {
    for (const file of changed) this.written.delete(file);
  }

  /**
   * To be called after each build.
   * @param meanwhile files that changed during it.
   * @returns those of `meanwhile` that are a reason to build again, and those that are found to be written by the build.
   */
  sort(meanwhile: ReadonlySet<string>): { readonly changed: ReadonlySet<string>; readonly found: readonly string[] } {
    const others = [...meanwhile].filter((file) => !this.written.has(file));
    const found = others.filter((file) => this.suspects.has(file));
    for (const file of found) this.written.add(file);
    this.suspects = new Set(others.filter((file) => !this.written.has(file)));
    return { changed: this.suspects, found };
  }
}
