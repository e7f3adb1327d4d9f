import { Command, CommanderError } from 'commander'
import { describe, expect, test } from 'vitest'
import { program } from '../../scripts/program.js'
import { layOutHelp } from '../../scripts/terminal/help-layout.js'
import { wrappedText } from '../../scripts/terminal/wrapped-text.js'

/** Every command, by the words that call it. */
function commandsOf(command: Command, above = ''): [string, Command][] {
  const words = `${above} ${command.name()}`.trim()
  return [[words, command], ...command.commands.flatMap(inner => commandsOf(inner, words))]
}

/** All that a command writes as its help on a terminal so wide. */
function helpOf(command: Command, columns: number): string {
  let written = ''
  command.configureOutput({
    getOutHelpWidth: () => columns,
    writeOut: text => {
      written += wrappedText(text, columns)
    },
  })
  command.outputHelp()
  return written
}

/** What a text says, however its lines are broken. */
const saidBy = (text: string) => text.replace(/ \\\n/g, ' ').split(/\s+/).join(' ')

const commands = commandsOf(program())

describe('help', () => {
  test.each(commands)('%s fits 60, 80 and 120 columns, and says the same in each', (_, command) => {
    const wide = saidBy(helpOf(command, 1000))
    for (const columns of [60, 80, 120]) {
      const text = helpOf(command, columns)
      expect(text.split('\n').filter(line => line.length > columns)).toEqual([])
      expect(saidBy(text)).toBe(wide)
    }
  })

  test('train has its flags in groups, those of jobs last', () => {
    const [, train] = commands.find(([words]) => words === 'pmoe train') as [string, Command]
    const headings = helpOf(train, 80).match(/^[A-Z][\w ]+:$/gm)
    expect(headings).toEqual([
      'Data:',
      'Augmentation:',
      'Network:',
      'Mixture of experts:',
      'Optimisation:',
      'Transfer:',
      'Run:',
      'On a cluster:',
      'Examples:',
    ])
  })

  test('descriptions stand beside names, and below them on a narrow terminal', () => {
    const command = layOutHelp(new Command('x'), () => 60)
    command.option('--a-rather-long-flag <value>', 'what it is for, told in more words than fit')
    expect(helpOf(command, 60)).toContain(
      '  --a-rather-long-flag <value>\n      what it is for, told in more words than fit\n',
    )
    expect(helpOf(command, 80)).toContain(
      '  --a-rather-long-flag <value>  what it is for, told in more words than fit\n',
    )
  })
})

describe('a call that cannot work', () => {
  /** What is written to the error stream. */
  async function errorOf(...words: string[]): Promise<string> {
    let written = ''
    const root = program()
    for (const [, command] of commandsOf(root)) {
      command.configureOutput({
        writeErr: text => {
          written += text
        },
      })
    }
    await expect(root.parseAsync(words, { from: 'user' })).rejects.toThrow(CommanderError)
    return written
  }

  test('is told of the flag that is misspelt before those that it lacks', async () => {
    expect(await errorOf('export', 'runs/a', '--formt', 'onnx', '--out', 'x')).toBe(
      "error: unknown option '--formt'\n(Did you mean --format?)\n(see pmoe export --help)\n",
    )
    expect(await errorOf('export', 'runs/a')).toBe(
      "error: required options '--format <name>' and '--out <path>' not specified\n(see pmoe export --help)\n",
    )
    expect(await errorOf('data', 'fetch', 'mnist')).toBe(
      "error: required option '--out <folder>' not specified\n(see pmoe data fetch --help)\n",
    )
    for (const words of [['trian'], ['help', 'trian']]) {
      expect(await errorOf(...words)).toBe(
        "error: unknown command 'trian'\n(Did you mean train?)\n(pmoe --help lists the commands)\n",
      )
    }
    expect(await errorOf('help', 'data', 'fetsch')).toBe(
      "error: unknown command 'fetsch'\n(Did you mean fetch?)\n(see pmoe data --help)\n",
    )
  })

  test('is shown what it must be given', () => {
    const [, command] = commands.find(([words]) => words === 'pmoe export') as [string, Command]
    expect(helpOf(command, 80)).toContain(
      'Usage: pmoe export --format <name> --out <path> [options] <model>\n',
    )
  })
})

describe('wrappedText', () => {
  test.each([
    ['short', 5, 'short'],
    ['  one two three', 9, '  one two\n  three'],
    ['a  two three', 8, 'a  two\n   three'],
    ['anextraordinarilylongword b', 10, 'anextraordinarilylongword\nb'],
    ['a anextraordinarilylongword', 10, 'a\nanextraordinarilylongword'],
    ['  $ pmoe train --data x --out yyyy z', 25, '  $ pmoe train --data x \\\n      --out yyyy z'],
    ['one\n\ntwo', 3, 'one\n\ntwo'],
    ['  x  alongwordindeed', 18, '  x\n   alongwordindeed'],
    ['  $ pmoe a -j 2 --flag run', 18, '  $ pmoe a -j 2 \\\n      --flag run'],
  ])('breaks %j in %i columns', (text, width, expected) => {
    expect(wrappedText(text, width)).toBe(expected)
  })
})
