# Puma and Sidekiq, as a Procfile would start them. SIGTERM ends both.
pids = [
  spawn('puma', '-C', "#{__dir__}/puma.rb", "#{__dir__}/config.ru"),
  spawn('sidekiq', '-r', "#{__dir__}/app.rb", '-c', '2', '-q', 'mailer', '-e', 'production')
]
trap('TERM') { pids.each { |pid| Process.kill('TERM', pid) } }
pids.each { |pid| Process.wait(pid) }
