import fs from 'node:fs';
import path from 'node:path';

/** The version in Catamount's own package.json, found from source and from the build alike. */
export function version(): string {
  for (let folder = __dirname; ; folder = path.dirname(folder)) {
    const file = path.join(folder, 'package.json');
    if (fs.existsSync(file)) {
      const { name, version } = JSON.parse(fs.readFileSync(file, 'utf8')) as { name?: string; version?: string };
      if (name === 'catamount' && version !== undefined) return version;
    }
    if (folder === path.dirname(folder)) return 'unknown';
  }
}
