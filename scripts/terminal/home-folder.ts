import { homedir } from 'node:os'

/**
 * A word that begins with `~`, alone or as the value of an option; `~name`, the home of another user, does not match.
 */
const fromHome = process.platform === 'win32' ? /^(--[\w-]+=)?~(?=[\\/]|$)/ : /^(--[\w-]+=)?~(?=\/|$)/

/**
 * Replaces `~` by the home folder of the user where no shell has done so: in `--data=~/photos`, in quoted words, in
 * words that a program passes without a shell.
 *
 * @param words of a command line; those without `~` are left as they are
 * @param home the home folder; when empty, `~` is left as it is
 */
export function withHomeFolder(words: readonly string[], home = homedir()): string[] {
  if (home === '') return [...words]
  return words.map(word => word.replace(fromHome, (_, option: string = '') => option + home))
}
