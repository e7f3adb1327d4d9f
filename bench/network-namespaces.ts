import { execFileSync } from 'node:child_process'

/** Machines of their own, as far as the network goes: one namespace each, joined by a bridge. */
export interface Namespaces {
  /** The address of each. */
  readonly hosts: readonly string[]
  /** The words before a program that is to run in one of them. */
  wordsOf(index: number): readonly [program: string, ...words: string[]]
  /** Pulls the plug of one. */
  cut(index: number): void
  /** Limits what each sends, in Mbit/s; false where this kernel cannot. */
  limit(megabits: number): boolean
  remove(): void
}

function ip(...words: string[]): void {
  execFileSync('ip', words, { stdio: 'pipe' })
}

/**
 * Makes network namespaces.
 *
 * @returns why there can be none, where the system or the user's rights do not allow them
 */
export function networkNamespaces(count: number): Namespaces | string {
  const prefix = `pmoe${process.pid}x`
  const hub = `${prefix}h`
  const nameOf = (index: number) => `${prefix}${index}`
  const remove = () => {
    for (const name of [hub, ...Array.from({ length: count }, (_, index) => nameOf(index))]) {
      try {
        ip('netns', 'del', name)
      } catch {
        // It was not made.
      }
    }
  }
  const hosts = Array.from({ length: count }, (_, index) => `10.77.0.${index + 1}`)
  try {
    ip('netns', 'add', hub)
    ip('-n', hub, 'link', 'add', 'br0', 'type', 'bridge')
    ip('-n', hub, 'link', 'set', 'br0', 'up')
    for (const [index, host] of hosts.entries()) {
      const name = nameOf(index)
      ip('netns', 'add', name)
      ip('-n', name, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', `v${index}`, 'netns', hub)
      ip('-n', hub, 'link', 'set', `v${index}`, 'master', 'br0', 'up')
      ip('-n', name, 'addr', 'add', `${host}/24`, 'dev', 'eth0')
      ip('-n', name, 'link', 'set', 'eth0', 'up')
      ip('-n', name, 'link', 'set', 'lo', 'up')
    }
  } catch (error) {
    remove()
    return `network namespaces cannot be made: ${(error as Error).message.split('\n').slice(0, 2).join(' ')}`
  }
  return {
    hosts,
    wordsOf: index => ['ip', 'netns', 'exec', nameOf(index)],
    cut: index => ip('-n', hub, 'link', 'set', `v${index}`, 'down'),
    limit: megabits => {
      try {
        for (const index of hosts.keys()) {
          const words = ['qdisc', 'replace', 'dev', 'eth0', 'root', 'tbf', 'rate', `${megabits}mbit`]
          execFileSync(
            'ip',
            ['netns', 'exec', nameOf(index), 'tc', ...words, 'burst', '256kb', 'latency', '50ms'],
            {
              stdio: 'pipe',
            },
          )
        }
        return true
      } catch {
        return false
      }
    },
    remove,
  }
}
