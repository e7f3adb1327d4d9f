import { flagOf } from '../run/train-settings.js'

/** The options that remarks of the library name, by the word that they are named with. */
const flags: Readonly<Record<string, string>> = {
  patchesPerExpert: flagOf('patchesPerExpert'),
  patchSize: flagOf('patchSize'),
  layerRates: flagOf('layerRates'),
}

/**
 * A remark of a training as users of the command line read it: options of the library by the flags that set them,
 * `--patches-per-expert` for `patchesPerExpert`, `--gate uniform` for `gate 'uniform'`.
 */
export function remarkText(remark: string): string {
  return remark
    .replace(/\b[a-z]+(?:[A-Z][a-z]+)+\b/g, word => flags[word] ?? word)
    .replace(/\b[Gg]ate '([\w-]+)'/g, `${flagOf('gate')} $1`)
    .replace(/\bprior '([\w-]+)'/g, `${flagOf('prior')} $1`)
}
