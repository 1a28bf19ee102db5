/** Node's own `import()`, which loads ES modules and CommonJS modules alike. */
export declare function nativeImport(specifier: string): Promise<unknown>;
