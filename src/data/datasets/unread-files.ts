/** Recognises files that hold a known dataset in a form that is not read, and says what to do with them. */
import type { DataSource } from '../data-source.js'
import { type ListedFolder, listedFolders } from './file-search.js'

const fetchOf = (name: string): string => `pmoe data fetch ${name} --out DIR gets`

/** A form of a published dataset that is recognised by the names of the files in one folder. */
interface UnreadForm {
  readonly title: string
  /** Each must match one of the folder's files. */
  readonly files: readonly RegExp[]
  readonly advice: string
}

const cifar10Advice = `${fetchOf('cifar10')} the binary version`
const cifar100Advice = `${fetchOf('cifar100')} the binary version`
const idxAdvice = `${fetchOf('mnist')} the IDX files of MNIST, ${fetchOf('fashion-mnist')} those of Fashion-MNIST`

const unreadForms: readonly UnreadForm[] = [
  {
    title: "CIFAR-10's Python version",
    files: [/^data_batch_1$/, /^(test_batch|batches\.meta)$/],
    advice: cifar10Advice,
  },
  {
    title: "CIFAR-100's Python version",
    files: [/^train$/, /^test$/, /^meta$/],
    advice: cifar100Advice,
  },
  {
    title: "CIFAR-10's MATLAB version",
    files: [/^data_batch_1\.mat$/],
    advice: cifar10Advice,
  },
  {
    title: "CIFAR-100's MATLAB version",
    files: [/^train\.mat$/, /^test\.mat$/, /^meta\.mat$/],
    advice: cifar100Advice,
  },
  { title: 'a NumPy archive', files: [/^(fashion[-_]?)?k?mnist.*\.npz$/i], advice: idxAdvice },
  { title: 'a table of pixels', files: [/^(fashion[-_]?|e)?mnist.*\.csv$/i], advice: idxAdvice },
  { title: 'a MATLAB file', files: [/^(e|fashion[-_]?)?mnist.*\.mat$/i], advice: idxAdvice },
]

/** A file that holds files. */
interface Archive {
  readonly title: string
  readonly name: RegExp
  /** What to do with it. */
  advice(path: string): string
}

/** A path as a word of a command line. */
function quotedWord(path: string): string {
  return /[^\w@%+=:,./-]/.test(path) ? `"${path}"` : path
}

const archives: readonly Archive[] = [
  ...['10', '100'].flatMap((classes): Archive[] => [
    {
      title: `the archive of CIFAR-${classes}'s binary version`,
      name: new RegExp(`^cifar-${classes}-binary.*\\.(tar\\.gz|tgz)$`, 'i'),
      advice: path => `pmoe data fetch cifar${classes} --from ${quotedWord(path)} --out DIR unpacks it`,
    },
    {
      title: `the archive of CIFAR-${classes}'s Python or MATLAB version`,
      name: new RegExp(`^cifar-${classes}-(python|matlab).*\\.(tar|tgz|gz|zip)$`, 'i'),
      advice: () => (classes === '10' ? cifar10Advice : cifar100Advice),
    },
  ]),
  {
    title: 'a zip archive',
    name: /\.zip$/i,
    advice: path => `--data ${quotedWord(path)} reads it as a folder`,
  },
  {
    title: 'a tar archive',
    name: /\.(tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz|zst))$/i,
    advice: path => `tar -xf ${quotedWord(path)} unpacks it`,
  },
  { title: 'an archive', name: /\.(7z|rar)$/i, advice: () => 'unpack it first' },
]

/**
 * What a file is that was named instead of a folder of data, and what to do with it.
 *
 * @param path as the person gave it
 * @returns undefined for a file of a name that is not known
 */
export function archiveAdvice(path: string): string | undefined {
  const name = path.split(/[\\/]/).at(-1) ?? ''
  const archive = archives.find(candidate => candidate.name.test(name))
  return archive && `${archive.title}; ${archive.advice(path)}`
}

/**
 * A sentence on files of a source that hold a dataset in a form that is not read, for the end of an error.
 *
 * @returns an empty text where there are none
 */
export async function unreadFiles(source: DataSource): Promise<string> {
  return unreadFilesIn(await listedFolders(source), source)
}

/** As {@link unreadFiles}, from folders that are listed. */
export function unreadFilesIn(folders: readonly ListedFolder[], source: DataSource): string {
  for (const { path, names } of folders) {
    const form = unreadForms.find(({ files }) => files.every(file => names.some(name => file.test(name))))
    if (!form) continue
    const [first] = form.files
    const file = names.find(name => first?.test(name)) ?? ''
    return `${source.describe(path + file)}: ${form.title}, which is not read; ${form.advice}`
  }
  for (const { path, names } of folders) {
    // The table lists archives of known datasets before other archives.
    for (const { title, name, advice } of archives) {
      const file = names.find(candidate => name.test(candidate))
      if (file === undefined) continue
      const full = source.describe(path + file)
      return `${full}: ${title}; ${advice(full)}`
    }
  }
  return ''
}
