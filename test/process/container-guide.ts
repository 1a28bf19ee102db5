import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

const GUIDE = path.resolve(__dirname, '../../lib/cluster/hosts.md');

/** The image that the guide's Dockerfile describes. */
export interface Image {
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly user: string;
  readonly command: readonly string[];
  /** The folders that it creates and gives to a user. */
  readonly owned: readonly { readonly folder: string; readonly user: string }[];
}

/** @returns the guide's only code block in that language that contains `holds`. */
function block(language: string, holds: string): string {
  const blocks = [...fs.readFileSync(GUIDE, 'utf8').matchAll(/```(\w+)\n(.*?)```/gs)];
  const found = blocks.filter(([, named, text = '']) => named === language && text.includes(holds));
  assert.equal(found.length, 1, `blocks of ${language} in the guide with ${holds}`);
  return found[0]?.[2] ?? '';
}

/** Reads the guide's Dockerfile. @throws AssertionError for an instruction that is not understood here. */
export function theDockerfile(): Image {
  const lines = block('dockerfile', 'FROM')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const image = { workdir: '/', env: {} as Record<string, string>, user: 'root', command: [] as string[] };
  const owned: { folder: string; user: string }[] = [];
  for (const line of lines) {
    const [, instruction = '', rest = ''] = /^([A-Z]+) (.+)$/.exec(line) ?? [];
    const made = /^mkdir -p (\S+) && chown (\w+) \1$/.exec(rest);
    if (instruction === 'WORKDIR') image.workdir = rest;
    else if (instruction === 'ENV')
      for (const pair of rest.split(' ')) image.env[pair.replace(/=.*/, '')] = pair.replace(/^[^=]*=/, '');
    else if (instruction === 'USER') image.user = rest;
    else if (instruction === 'CMD') image.command = JSON.parse(rest) as string[];
    else if (instruction === 'RUN' && made) owned.push({ folder: made[1] ?? '', user: made[2] ?? '' });
    else
      assert.match(
        line,
        /^(FROM node:\d+-slim( AS build)?|COPY (\.|--from=build \S+) \.\/?|RUN npm ci && .*|EXPOSE \d+)$/,
      );
  }
  return { ...image, owned };
}

/** The guide's manifest for Kubernetes. */
export function theManifest(): string {
  return block('yaml', 'kind: Deployment');
}
