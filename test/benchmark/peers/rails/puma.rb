# The shape of Catamount's default tree: two workers with five threads each, and a job processor that runs two jobs at once.
workers 2
threads 5, 5
preload_app!
bind "tcp://127.0.0.1:#{ENV.fetch('PORT')}"
quiet

primary = Process.pid
sidekiq = spawn('sidekiq', '-r', File.join(__dir__, 'app.rb'), '-c', '2', '-q', 'default', out: File::NULL)
at_exit { Process.kill('TERM', sidekiq) if Process.pid == primary }
