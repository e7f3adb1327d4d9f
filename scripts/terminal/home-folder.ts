import { homedir } from 'node:os'

/** A path that begins at home, alone or as the value of an option; `~name`, the home of another person, is not meant. */
const fromHome = process.platform === 'win32' ? /^(--[\w-]+=)?~(?=[\\/]|$)/ : /^(--[\w-]+=)?~(?=\/|$)/

/**
 * Puts the folder of the person in the place of `~` where shells leave it: `--data=~/photos`, words in quotes, words
 * given by programs without a shell.
 *
 * @param words of a command line; those that are no paths are left as they are
 * @param home `~` stays where there is none
 */
export function withHomeFolder(words: readonly string[], home = homedir()): string[] {
  if (home === '') return [...words]
  return words.map(word => word.replace(fromHome, (_, option: string = '') => option + home))
}
