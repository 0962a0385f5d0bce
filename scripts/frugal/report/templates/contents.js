// Marks in the list of contents the section that is being read: the last whose heading has passed the upper third of the window.
const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [decodeURIComponent(link.hash.slice(1)), link]));
const headings = [...links.keys()].map((id) => document.getElementById(id));
const list = document.querySelector(".contents");
let marked = null;
function mark() {
  const line = window.innerHeight / 3;
  const passed = headings.filter((heading) => heading.getBoundingClientRect().top < line);
  const atEnd = window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 2;
  const now = atEnd ? headings.at(-1) : (passed.at(-1) ?? headings[0]);
  if (!now || now === marked) return;
  if (marked) links.get(marked.id).removeAttribute("aria-current");
  marked = now;
  const link = links.get(now.id);
  link.setAttribute("aria-current", "location");
  // On a phone the list is a strip: what is read stays in view, without moving the page.
  list.scrollTo({ left: link.offsetLeft - list.clientWidth / 3, top: link.offsetTop - list.clientHeight / 2 });
}
let waiting = false;
addEventListener("scroll", () => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; mark(); });
}, { passive: true });
mark();
