// What newer servers offer and the page already uses, made up from what today's server has. For development only.

export function additions() {
  return () => false;
}
