/** What an element is given: attributes, and listeners as `onClick`. Text is never read as HTML. */
type Attributes = Readonly<Record<string, string | number | boolean | ((event: Event) => void) | undefined>>

/** What an element holds. */
export type Content = Node | string

/** Makes an HTML element. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...content: readonly Content[]
): HTMLElementTagNameMap[Tag] {
  return filled(document.createElement(tag), attributes, content)
}

/** Makes an SVG element. */
export function svg<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...content: readonly Content[]
): SVGElementTagNameMap[Tag] {
  return filled(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, content)
}

function filled<Made extends Element>(made: Made, attributes: Attributes, content: readonly Content[]): Made {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') made.addEventListener(name.slice(2).toLowerCase(), value)
    else if (value === true) made.setAttribute(name, '')
    else if (value !== undefined && value !== false) made.setAttribute(name, String(value))
  }
  made.append(...content)
  return made
}

/** A share as people read it: `93.1%`. */
export function percent(share: number): string {
  return `${(share * 100).toFixed(1)}%`
}

/** A large count as people read it: `1.2M`. */
export function shortCount(count: number): string {
  return new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 1 }).format(count)
}

/** A number and its noun. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? noun : plural}`
}
