import fs from 'node:fs';
import path from 'node:path';

/** Copies the last build, since many builds begin by removing it. @returns a function that restores it. */
export function keepBuild(output: string, copy: string): () => void {
  fs.rmSync(copy, { recursive: true, force: true });
  if (!fs.existsSync(output)) return () => undefined;
  fs.mkdirSync(path.dirname(copy), { recursive: true });
  fs.cpSync(output, copy, { recursive: true, preserveTimestamps: true });
  return () => {
    fs.rmSync(output, { recursive: true, force: true });
    fs.cpSync(copy, output, { recursive: true, preserveTimestamps: true });
  };
}
