'use strict';

// In a file that no compiler touches, because TypeScript turns the import() of a CommonJS module into require().
exports.nativeImport = (specifier) => import(specifier);
