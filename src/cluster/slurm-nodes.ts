/**
 * The nodes that a list of Slurm's names, in its order: `gpu[01-03,7],login` is gpu01, gpu02, gpu03, gpu7 and login.
 *
 * @throws RangeError where a bracket is not closed, or a range is none
 */
export function expandedNodes(list: string): string[] {
  return namesIn(list).flatMap(expanded)
}

/** The entries of a list: commas in brackets separate numbers, not names. */
function namesIn(list: string): string[] {
  const names = list.match(/(?:\[[^\]]*\]|[^,[\]])+/g) ?? []
  if (names.join(',') === list) return names
  return refuse(list)
}

function expanded(name: string): string[] {
  const [, before, numbers, after = ''] = /^([^[]*)\[([^\]]+)\](.*)$/.exec(name) ?? []
  if (numbers === undefined) return [name]
  const ends = expanded(after)
  return numbers
    .split(',')
    .flatMap(range)
    .flatMap(number => ends.map(end => `${before}${number}${end}`))
}

/** The numbers of `08-10`, as long as the first. */
function range(text: string): string[] {
  const [, first = '', last = first] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? []
  const count = Number(last) - Number(first) + 1
  if (first === '' || count < 1) return refuse(text)
  return Array.from({ length: count }, (_, i) => String(Number(first) + i).padStart(first.length, '0'))
}

function refuse(list: string): never {
  throw new RangeError(`cluster: SLURM_STEP_NODELIST must be a list such as node[1-3,5], got ${list}`)
}

/**
 * How many tasks each node has: `2(x3),1` is 2, 2, 2 and 1.
 *
 * @throws RangeError for another form
 */
export function tasksOfNodes(text: string): number[] {
  return text.split(',').flatMap(part => {
    const [, tasks, nodes = '1'] = /^(\d+)(?:\(x(\d+)\))?$/.exec(part.trim()) ?? []
    if (tasks === undefined) {
      throw new RangeError(
        `cluster: SLURM_STEP_TASKS_PER_NODE must be numbers of tasks such as 2(x3),1, got ${text}`,
      )
    }
    return new Array<number>(Number(nodes)).fill(Number(tasks))
  })
}
