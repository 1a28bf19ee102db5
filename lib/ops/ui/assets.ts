import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type Router from '@koa/router';
import type { OpsState } from './page-types';

interface Asset {
  readonly file: string;
  readonly tag: string;
}

const FOREVER = 'public, max-age=31536000, immutable';

/**
 * The files of one folder and single files from elsewhere. No other file is served. Their bytes are not kept in memory,
 * since browsers cache them for good.
 */
export class Assets {
  private readonly files: ReadonlyMap<string, string>;
  private readonly known = new Map<string, Asset>();

  constructor(folder: string, elsewhere: readonly string[] = []) {
    const files = [...fs.readdirSync(folder).map((name) => path.join(folder, name)), ...elsewhere];
    this.files = new Map(files.map((file) => [path.basename(file), file]));
  }

  get(name: string): Asset | undefined {
    const file = this.files.get(name);
    if (file === undefined) return undefined;
    const known = this.known.get(name);
    if (known) return known;
    const bytes = fs.readFileSync(file);
    const asset = {
      file,
      tag: createHash('sha256').update(bytes).digest('base64url').slice(0, 12),
    };
    this.known.set(name, asset);
    return asset;
  }

  /** URL of the file's present content: its version changes with the content. @throws Error for an unknown name. */
  url(name: string): string {
    const asset = this.get(name);
    if (!asset) throw new Error(`there is no asset ${name}`);
    return `/ops/assets/${name}?v=${asset.tag}`;
  }
}

export function assetRoutes(router: Router<OpsState>, folder: string, assets: () => Assets): void {
  router.get(`${folder}/:name`, async (ctx) => {
    const asset = assets().get(ctx.params.name ?? '');
    if (!asset) return;
    ctx.status = 200;
    ctx.type = path.extname(ctx.params.name ?? '');
    ctx.etag = asset.tag;
    ctx.set('Cache-Control', ctx.query.v === asset.tag ? FOREVER : 'no-cache');
    if (ctx.fresh) ctx.status = 304;
    else ctx.body = await readFile(asset.file);
  });
}
